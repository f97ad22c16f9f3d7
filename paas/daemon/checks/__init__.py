"""What `paas doctor` looks at: one module per idea, each finding is a `Check`."""

"""Pure values: names, Procfile, app.json, environment, releases, limits, settings."""

"""Every effect on the machine, one door each: processes, syscalls, netlink, files, clock."""

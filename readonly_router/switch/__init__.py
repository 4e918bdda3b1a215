"""The switch: flip a setting of the writer's role, drain its sessions, write a receipt, verify it."""

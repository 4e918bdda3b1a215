"""Provisioning of the twin's role: inspect (catalog), diff (plan), apply, prove."""

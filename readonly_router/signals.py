"""The signal of the switch."""

from __future__ import annotations

from django.dispatch import Signal

# Sent in each process that follows, once it noticed: sender is the Status class; `alias` the writer's alias,
# `read_only` a bool, `status` a Status. An error in a receiver never reaches the query that met the news.
read_only_changed = Signal()

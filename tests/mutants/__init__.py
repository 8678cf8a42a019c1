"""Whether tests notice wrong code: random one-line changes of a room, each run against the room's own tests."""

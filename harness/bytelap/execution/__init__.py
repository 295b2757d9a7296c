"""One run, phase by phase, in a process of its own; its directory; the machine; where run processes are started."""

"""What is spoken at the door, wired."""

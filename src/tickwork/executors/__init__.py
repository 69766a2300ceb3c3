"""Where calls execute: on threads, or in an event loop."""

"""Where calls execute: on threads, in an event loop, or in processes of their own."""

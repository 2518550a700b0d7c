"""Reading a request: what it gives, what it asks, and which task it sets."""

"""What a client requests: one file a resource."""

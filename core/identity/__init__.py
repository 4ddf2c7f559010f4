"""Who asks, may they, and how often: sessions, passwords, limits, and the audit trail."""

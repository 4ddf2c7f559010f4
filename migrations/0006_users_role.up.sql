-- What an account may do. `admin` is given at the command line only (server.py admin NAME).
ALTER TABLE users ADD COLUMN role ENUM('customer', 'admin') NOT NULL DEFAULT 'customer' AFTER password_hash;

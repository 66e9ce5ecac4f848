"""What builds and keeps the book: `make` calls these, one module a job."""

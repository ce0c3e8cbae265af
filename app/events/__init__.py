"""What happened: a log in Postgres for each tenant, its readers, webhooks in, and the live watch."""

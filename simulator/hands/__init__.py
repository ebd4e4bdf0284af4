"""What people do in their clients: customers, guides and administrators."""

"""人员变动: noticing what is to be decided about members, showing what it means, and doing it."""

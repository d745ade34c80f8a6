"""The routes of people: log-in and sessions, one-time links, and the people of an organisation."""

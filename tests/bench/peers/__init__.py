"""What relance is compared with: the same sends, written the ordinary way."""

#: Where the Celery tasks note what they sent: a hash, by invoice number.
SENT = "reminders:sent"

"""Where frames and readbacks come from. Wire spelling (`uniqueId`, `dimension`) stays in here."""

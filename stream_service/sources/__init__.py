"""Sources of frames and readbacks. Wire spelling (`uniqueId`, `dimension`) stays in here."""

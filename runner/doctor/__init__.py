"""Whether what is configured can work: each check looks at one thing and says what to do about it."""

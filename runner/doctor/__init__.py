"""``runner doctor``: checks that the configuration works. Each check looks at one thing and says how to mend it."""

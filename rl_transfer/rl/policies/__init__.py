"""SB3 policies as the core sees them: built, named part by part, bundled, exported."""

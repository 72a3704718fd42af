-- What the plugins' schemas ask of Kong's schema language: that of 3.5 and later.
return { valid_types = { json = true } }

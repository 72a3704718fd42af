-- The types of Kong's that the plugins' schemas name.
return { no_consumer = {}, no_consumer_group = {}, protocols_http = {} }

"""From files to wells: metadata, tables of features, what joins and cleans them."""

"""Images, their labels, and the input pipeline.

`sources` is what training reads, `formats` what `prepare` reads, and `preparation` what
`prepare` makes of it.
"""

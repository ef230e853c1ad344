"""From a picture file to model input: the one definition that the converter and the device share.

Open `preprocessing` first.
"""

"""Does an answer follow the JSON schema it was asked for?"""

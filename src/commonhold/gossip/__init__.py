"""Announcements in, announcements out: introducers, and who asks them. Pure: events in, effects out.

Time and randomness are arguments. What a blessing is worth is `authority`'s; here it only decides who makes room.
"""

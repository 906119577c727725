"""Local submissions and published figures in one view, grouped by protocol, never ranked across protocols.

gather   the submissions at hand that fit a task, and why others do not
board    the view itself, ranks among it, and its JSON
"""

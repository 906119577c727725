"""Local submissions and published figures in one view, grouped by protocol, never ranked across protocols.

gather   the submissions at hand that fit a task, and why others do not
ranks    which rows are told apart from noise, and the ranks that follow: numpy kernels
board    the view itself, and its JSON
"""

"""What surrounds an upload, so that it works the first time and can be proven later.

    choose    which submission is meant
    submit    the way of one: checked, scored twice, shown, sent once, its receipt settled
    receipt   what was sent, when, and how it ended; why nothing is sent twice by accident
    bundle    all of it in one folder or archive that anybody can check and score again
    unpack    archives that somebody else made
    verify    whether a bundle is whole and its scores are true

What the Hub is told beside the predictions is `polaris_rxrx.hub.card`. Only `submit` calls the Hub, and only
when it sends.
"""

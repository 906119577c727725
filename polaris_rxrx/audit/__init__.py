"""Where a submission's score comes from: shortcuts that need no image, and traces of leaked labels.

`shortcuts` scores every test pair by something trivial; `explain` measures how much of the submission that
explains; `leaks`, `separation` and `structures` look for labels in the scores and for compounds that are not
independent; `assess.audit` puts it together.
"""

from polaris_rxrx.audit.assess import audit
from polaris_rxrx.audit.result import Audit, ShortcutResult
from polaris_rxrx.quick import Check

__all__ = ["Audit", "Check", "ShortcutResult", "audit"]

"""`python -m tests.web [OPTIONS OF PYTEST]` runs this folder's tests, also while containers start and stop.

Chromium drops what it is loading when the machine gets or loses a network interface, as it does with each container. So
the browsers get a network of their own, where the system allows that. It reaches no registry, so this installs before
what the tests would install.
"""

import os
import sys
from pathlib import Path

from tests.packages import install_node_packages
from tests.web.private_network import NoPrivateNetworkError, in_private_network
from tests.web.test_modules import TOOLS

if __name__ == "__main__":
    install_node_packages(TOOLS)
    command = [sys.executable, "-m", "pytest", str(Path(__file__).parent), *sys.argv[1:]]
    try:
        command = in_private_network(command)
    except NoPrivateNetworkError as error:
        print(f"The browsers share this machine's network: {error}", file=sys.stderr)
    os.execvp(command[0], command)

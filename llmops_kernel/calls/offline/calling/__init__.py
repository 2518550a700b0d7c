"""Tool calls: which tools a request asks for, with which arguments."""

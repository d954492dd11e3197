class ScriptDirectory:
    pass

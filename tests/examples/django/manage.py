from django.core.management import execute_from_command_line

if __name__ == "__main__":
    import sys

    execute_from_command_line(sys.argv)

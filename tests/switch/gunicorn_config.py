"""How the tests run gunicorn, beside what its command line says."""

graceful_timeout = 1
# Its default lies in the home folder; versions that have no such socket ignore this.
control_socket_disable = True

-- The two logins of a careful deployment, beside the superuser: a writer that owns its database and nothing more,
-- and an admin that may create roles and nothing more. Passwords come from the environment of the server.
\set writer_password `printf %s "$WRITER_PASSWORD"`
\set admin_password `printf %s "$ADMIN_PASSWORD"`

CREATE ROLE site_writer LOGIN PASSWORD :'writer_password'
  NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
CREATE ROLE site_admin LOGIN PASSWORD :'admin_password'
  NOSUPERUSER NOCREATEDB CREATEROLE NOREPLICATION NOBYPASSRLS;
CREATE DATABASE site OWNER site_writer;

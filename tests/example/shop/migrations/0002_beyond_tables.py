"""What sites make besides tables: a view, a materialized view, a sequence, a schema, a cache table."""

import django.db.models.deletion
from django.db import migrations, models

BESTSELLER_VIEW = """
CREATE VIEW shop_bestseller AS
SELECT product_id, sum(quantity) AS sold, sum(quantity * price) AS revenue
FROM shop_orderline
GROUP BY product_id
"""

CATEGORY_STOCK_VIEW = """
CREATE MATERIALIZED VIEW shop_category_stock AS
SELECT category_id, count(*) AS products, sum(stock) AS pieces, sum(stock * price) AS worth
FROM shop_product
GROUP BY category_id;
CREATE UNIQUE INDEX shop_category_stock_category ON shop_category_stock (category_id);
"""

# As createcachetable makes it, so that `migrate` alone gives a working site.
CACHE_TABLE = """
CREATE TABLE shop_cache (
    cache_key varchar(255) PRIMARY KEY,
    value text NOT NULL,
    expires timestamptz NOT NULL
);
CREATE INDEX shop_cache_expires ON shop_cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [
        migrations.RunSQL("CREATE SEQUENCE shop_invoice_number START 1001", "DROP SEQUENCE shop_invoice_number"),
        migrations.RunSQL(CACHE_TABLE, "DROP TABLE shop_cache"),
        migrations.RunSQL(BESTSELLER_VIEW, "DROP VIEW shop_bestseller"),
        migrations.RunSQL(CATEGORY_STOCK_VIEW, "DROP MATERIALIZED VIEW shop_category_stock"),
        migrations.CreateModel(
            name="Bestseller",
            fields=[
                (
                    "product",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="bestseller",
                        serialize=False,
                        to="shop.product",
                    ),
                ),
                ("sold", models.BigIntegerField()),
                ("revenue", models.DecimalField(decimal_places=2, max_digits=14)),
            ],
            options={"db_table": "shop_bestseller", "ordering": ["-sold", "product_id"], "managed": False},
        ),
        migrations.CreateModel(
            name="CategoryStock",
            fields=[
                (
                    "category",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="stock",
                        serialize=False,
                        to="shop.category",
                    ),
                ),
                ("products", models.BigIntegerField()),
                ("pieces", models.BigIntegerField()),
                ("worth", models.DecimalField(decimal_places=2, max_digits=14)),
            ],
            options={
                "verbose_name_plural": "category stock",
                "db_table": "shop_category_stock",
                "ordering": ["category_id"],
                "managed": False,
            },
        ),
        migrations.RunSQL("CREATE SCHEMA reporting", "DROP SCHEMA reporting"),
        migrations.CreateModel(
            name="Daily",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("day", models.DateField(unique=True)),
                ("orders", models.PositiveIntegerField()),
                ("takings", models.DecimalField(decimal_places=2, max_digits=12)),
            ],
            options={
                "verbose_name_plural": "daily",
                "db_table": '"reporting"."daily"',
                "ordering": ["-day"],
            },
        ),
    ]

-- Rows were written as manifests claimed them, sizes too: from here on as the bytes prove them.
DELETE FROM blobs;

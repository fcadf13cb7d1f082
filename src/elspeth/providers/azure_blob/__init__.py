"""Azure Blob Storage (extra ``azure``): a client that retries safely, resumes uploads, tells what it did."""

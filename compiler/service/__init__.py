"""The training API and the console: builds as jobs over HTTP and in a browser, in a process of their own."""

// A classic script, which runs where modules do not: a page that was opened as a file says what to do.

if (location.protocol === 'file:') {
  const notice = document.getElementById('as-file');
  if (notice) notice.hidden = false;
  document.documentElement.dataset.place = 'file';
}

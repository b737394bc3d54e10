# page.html as C, with the policy that lets in its own style and script and nothing else:
#	cmake -DIN=page.html -DOUT=page.c -P page.cmake

# The text between two lines, with the newlines behind the first and before the second, as a browser hashes it.
function(hash_between begin end out)
  string(FIND "${page}" "${begin}" from)
  string(LENGTH "${begin}" n)
  math(EXPR from "${from} + ${n}")
  string(SUBSTRING "${page}" ${from} -1 rest)
  string(FIND "${rest}" "${end}" n)
  string(SUBSTRING "${rest}" 0 ${n} text)
  string(SHA256 hex "${text}")
  # Base64 of the hash, three bytes at a time.
  set(digits ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/)
  set(base64 "")
  foreach(i RANGE 0 60 6)
    string(SUBSTRING "${hex}0000" ${i} 6 three)
    math(EXPR bits "0x${three}")
    foreach(shift 18 12 6 0)
      math(EXPR at "(${bits} >> ${shift}) & 63")
      string(SUBSTRING ${digits} ${at} 1 digit)
      string(APPEND base64 ${digit})
    endforeach()
  endforeach()
  string(SUBSTRING ${base64} 0 43 base64) # of 32 bytes; then one =
  set(${out} "'sha256-${base64}='" PARENT_SCOPE)
endfunction()

file(READ ${IN} page)
hash_between("<style>" "</style>" style)
hash_between("<script>" "</script>" script)
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
string(REPLACE "x0a'," "x0a',\n" bytes "${bytes}") # a line of it on a line
file(WRITE ${OUT} "#include \"admin/page.h\"

const char page_html[] = {
${bytes}
};
const size_t page_html_len = sizeof page_html;
const char page_policy[] =
  \"default-src 'none'; style-src ${style}; script-src ${script}; connect-src 'self'; \"
  \"img-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\";
")

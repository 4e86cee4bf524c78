import Support
import Testing

@Suite("blkdev-run fs, attributes and ACLs", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct FSAttributeTests {
  @Test("sets, lists and removes attributes in getfattr's text")
  func attributes() throws {
    let image = try FSImage()
    let outcome = try image.script(
      #"""
      touch /f
      setfattr -n user.text -v "a value" /f
      setfattr -n user.quoted -v '"tab\011\"end"' /f
      setfattr -n user.hex -v 0x00ff10 /f
      setfattr -n user.base64 -v 0sAAECAwQ= /f
      setfattr -n user.empty /f
      setfattr -n trusted.t -v x /f
      setfattr -n user.gone -v x /f
      setfattr -x user.gone /f
      """#)
    #expect(outcome.exitCode == 0, "\(outcome.errors)")
    #expect(
      try image.fs("getfattr -d /f") == #"""
        # file: /f
        user.base64=0sAAECAwQ=
        user.empty=""
        user.hex=0sAP8Q
        user.quoted="tab\011\"end"
        user.text="a value"


        """#)
    #expect(try image.fs("getfattr -d -e hex -n user.base64 /f") == "# file: /f\nuser.base64=0x0001020304\n\n")
    #expect(
      try image.fs("getfattr -d -e text -n user.quoted /f") == "# file: /f\nuser.quoted=\"tab\\011\\\"end\"\n\n")
    #expect(try image.fs("getfattr -e text -n user.hex /f") == "# file: /f\nuser.hex=\"\\000\\377\\020\"\n\n")
    #expect(try image.fs("getfattr --only-values -n user.text /f") == "a value")
    #expect(try image.fs("getfattr -m - /f").contains("trusted.t\n"))
    #expect(try image.fs("getfattr -m 'e.t$' /f") == "# file: /f\nuser.text\n\n")
    #expect(try image.debugfs("ea_get /f user.hex").contains("00 ff 10"))
    #expect(try image.damage() == nil)
  }

  @Test("reads and writes the values that setfattr and getfattr do")
  func values() throws {
    let image = try FSImage()
    try image.shell(
      #"""
      command -v setfattr >/dev/null && touch f && setfattr -n user.v -v x f 2>/dev/null || exit 0
      fs touch /f
      while read -r value; do
        setfattr -n user.v -v "$value" f; fs setfattr -n user.v -v "$value" /f
        for how in '' '-e hex' '-e base64'; do
          diff <(getfattr $how -d f) <(fs getfattr $how -d /f | sed 's,/f$,f,') || { echo "of: $value $how"; exit 1; }
        done
      done <<'END'

      plain
      a"b
      a\b
      a\\b
      a\012b
      a long line, with not much in it that is no letter\012of ASCII
      "in quotes"
      "in quotes, and \"more\""
      "begun
      "
      \x
      0x
      0x00ff10
      0x61 62 0a
      0sAAEC
      0s AAEC
      é
      a long line with one é
      END
      """#)
  }

  @Test("takes ACLs from files, as getfacl prints them")
  func listFiles() throws {
    let image = try FSImage()
    try image.shell(
      """
      fs mkdir /d; fs touch /f /g; fs setfacl -m u:5:rwx,g:6:r,m::rx /f; fs setfacl -m d:u:7:rx,u:8:w /d
      fs getfacl /f >list; fs setfacl -M list /g; diff <(fs getfacl -c /f) <(fs getfacl -c /g)
      printf 'u:5\\n# all of it\\n g:6 # this, too\\n' >gone; fs setfacl -X gone -m u:9:x /g
      fs getfacl -c /g | tr '\\n' ' ' | grep '^user::rw- user:9:--x group::r-- mask::r-x other::r-- *$'
      fs getfacl /d | fs setfacl --set-file - /d/../d; fs getfacl -c /d | grep '^default:user:7:r-x'
      fs mkdir /e; fs getfacl /d | fs setfacl --set-file=- /e; diff <(fs getfacl -c /d) <(fs getfacl -c /e)
      ! fs setfacl -M none /f 2>errors; grep 'setfacl: none: read: No such file or directory' errors
      ! echo 'setfacl -M - /f' | fs - 2>errors; grep 'standard input is the script already' errors
      """)
    #expect(try image.damage() == nil)
  }

  @Test(
    "says what is wrong with attributes and ACLs",
    arguments: [
      ("setfattr -n user.x -v 0x0 /f", 2, "neither text nor"), ("setfattr /f", 2, "either -n NAME or -x NAME"),
      ("setfattr -x user.none /f", 1, "/f: user.none: no such attribute"),
      ("setfattr -n system.x -v 1 /f", 1, "/f: system.x: not supported"),
      ("getfattr -n user.none /f", 1, "no such attribute"), ("getfattr -m '(' /f", 2, "a regular expression"),
      ("getfattr -e morse /f", 2, "text, hex, base64"), ("setfacl -m u:root:r /f", 2, "numbers here"),
      ("setfacl -m u:5 /f", 2, "permissions are missing"), ("setfacl /f", 2, "what to do is missing"),
      ("setfacl -m d:u:5:r /f", 1, "only directories have default ACLs"),
      ("setfacl -x u: /f", 1, "entries of owner, owning group or others are missing"),
    ])
  func errors(words: String, exitCode: Int, message: String) throws {
    let image = try FSImage()
    _ = try image.fs("touch /f")
    let outcome = try image.run("\"$image\" \(words)")
    #expect(outcome.exitCode == exitCode && outcome.errors.contains(message), "\(outcome.errors)")
    #expect(try image.fs("getfattr -m - /f") == "")
  }

  /// What both setfacl(1) and ours are asked to do, one after the other.
  static let changes = [
    "-m u:1000:rwx,g:5:r f", "-m g:7:rw f", "-m m::r f", "-n -m u:1001:rwx f", "--mask -m u:1002:x f", "-x u:1000 f",
    "-m d:u:7:rx,d:g:8:w d", "-m d:o::- d", "-d -m g:9:rwx d", "-m u:3:r d", "-x d:u:7 d", "--set u::rw,g::r,o::- f",
    "-m u:4:rw,o::r f", "-b f", "-m u:4:w f", "-k d", "-R -m u:11:x,d:u:12:r d",
  ]

  @Test(
    "changes ACLs as setfacl does, step by step, and shows them as getfacl does",
    .enabled(if: FSImage.canMount, "needs a loop mount"))
  func lists() throws {
    let image = try FSImage()
    try image.shell(
      """
      command -v setfacl >/dev/null || exit 0
      cp "$image" theirs; mkdir m; mount -o loop,acl theirs m; trap 'umount m 2>/dev/null || true' EXIT
      for place in m /; do
        [ $place = / ] && { fs mkdir /d; fs touch /f /d/g; } || { mkdir m/d; touch m/f m/d/g; }
      done
      while read -r words; do
        (cd m && setfacl $words)
        eval "set -- $words"; last=${!#}; fs setfacl "${@:1:$#-1}" "/$last"
        diff <(cd m && getfacl -ncR f d | sed 's/\t\t*/\t/') <(fs getfacl -cR /f /d) || { echo "after: $words"; exit 1; }
      done <<'END'
      \(Self.changes.joined(separator: "\n      "))
      END
      """)
    #expect(try image.damage() == nil)
  }

  @Test("writes attributes that the kernel reads", .enabled(if: FSImage.canMount, "needs a loop mount"))
  func kernel() throws {
    let image = try FSImage()
    try image.shell(
      """
      fs touch /f; fs setfattr -n user.bytes -v 0x00ff3d0a /f; fs setfacl -m u:1000:rwx /f; fs chmod 4711 /f
      mkdir m; mount -o loop,ro "$image" m; trap 'umount m' EXIT
      command -v getfattr >/dev/null || exit 0
      [ "$(getfattr --only-values -n user.bytes m/f | od -An -tx1)" = ' 00 ff 3d 0a' ]
      getfacl -n m/f | grep -q '^# flags: s--'
      getfacl -n m/f | grep -q '^user:1000:rwx.*#effective:--x'
      """)
    #expect(try image.fs("getfacl /f").contains("# flags: s--\nuser::rwx\nuser:1000:rwx\t#effective:--x\n"))
  }
}

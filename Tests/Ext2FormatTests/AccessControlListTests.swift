import Ext2Format
import Glibc
import Testing

@Suite("POSIX ACLs")
struct AccessControlListTests {
  typealias Entry = AccessControlEntry
  static let full = "user::rwx\nuser:0:---\nuser:1000:rw-\ngroup::r-x\ngroup:50:rwx\nmask::r-x\nother::--x\n"

  static func acl(_ text: String) throws -> AccessControlList { try AccessControlList(text: text) }

  // MARK: Bytes

  @Test("the form of the disk is short entries and long ones, by hand") func disk() throws {
    let acl = try Self.acl("u::7,u:1000:6,g::5,m::7,o::0")
    let bytes: [UInt8] = [
      1, 0, 0, 0, 1, 0, 7, 0, 2, 0, 6, 0, 0xE8, 3, 0, 0, 4, 0, 5, 0, 0x10, 0, 7, 0, 0x20, 0, 0, 0,
    ]
    #expect(acl.diskBytes == bytes)
    #expect(try AccessControlList.decode(diskBytes: bytes, at: .byte(0)) == acl)
  }

  @Test("the form of system calls has a number in every entry, by hand") func transfer() throws {
    let acl = try Self.acl("u::7,g:9:5,g::5,m::7,o::0")
    let none: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
    var bytes: [UInt8] = [2, 0, 0, 0, 1, 0, 7, 0] + none + [4, 0, 5, 0] + none
    bytes += [8, 0, 5, 0, 9, 0, 0, 0, 0x10, 0, 7, 0] + none + [0x20, 0, 0, 0] + none
    #expect(acl.transferBytes == bytes)
    #expect(try AccessControlList.decode(transferBytes: bytes) == acl)
  }

  @Test("no entries is no ACL") func empty() throws {
    #expect(try AccessControlList.decode(diskBytes: [1, 0, 0, 0], at: .byte(0)) == nil)
    #expect(try AccessControlList.decode(transferBytes: [2, 0, 0, 0]) == nil)
    #expect(try AccessControlList.decode(transferBytes: []) == nil)
  }

  @Test(
    "what a system call would refuse is refused",
    arguments: [
      ([2, 0], AccessControlError.invalid("shorter than its header")),
      ([1, 0, 0, 0], .unsupportedVersion(1)), ([2, 0, 0, 0, 1], .invalid("its last entry is cut off")),
      ([2, 0, 0, 0, 3, 0, 7, 0, 0, 0, 0, 0], .invalid("an entry of no known kind")),
      ([2, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0, 0], .invalid("permissions beyond read, write and execute")),
      ([2, 0, 0, 0, 1, 0, 7, 0, 0, 0, 0, 0], .invalid("entries of owner, owning group or others are missing")),
    ])
  func badTransfer(_ bytes: [UInt8], _ error: AccessControlError) {
    #expect(throws: error) { try AccessControlList.decode(transferBytes: bytes) }
  }

  @Test("damaged bytes of either form are refused, or read back as they were written") func damage() throws {
    let good = try Self.acl(Self.full)
    var generator = SplitMix64(seed: 4)
    var (accepted, refused) = (0, 0)
    for round in 0..<4000 {
      let isDisk = round % 2 == 0
      var bytes = isDisk ? good.diskBytes : good.transferBytes
      FuzzTests.damage(&bytes, 0..<bytes.count, &generator)
      if round % 7 == 0 { bytes.removeLast(Int.random(in: 1..<bytes.count, using: &generator)) }
      if isDisk {
        do throws(FormatError) {
          let acl = try AccessControlList.decode(diskBytes: bytes, at: .byte(0))
          #expect(acl == nil || acl?.diskBytes == bytes)
          accepted += 1
        } catch { refused += 1 }
      } else {
        do throws(AccessControlError) {
          let acl = try AccessControlList.decode(transferBytes: bytes)
          if let acl {
            let again = try AccessControlList.decode(transferBytes: acl.transferBytes)
            #expect(again == acl)
          }
          accepted += 1
        } catch { refused += 1 }
      }
    }
    #expect(accepted > 100 && refused > 100)
  }

  // MARK: Validity

  @Test(
    "an ACL needs its three entries, a mask for others, order, and each entry once",
    arguments: [
      ("u::7,g::7", false), ("u::7,o::7", false), ("g::7,o::7", false), ("u::7,g::7,o::7", true),
      ("u::7,g::7,m::7,o::7", true), ("u::7,u:1:7,g::7,o::7", false), ("u::7,g:1:7,g::7,o::7", false),
      ("u::7,u:1:7,u:1:6,m::7,g::7,o::7", false), ("o::1,m:7,g:2:1,g:1:1,g::7,u:9:7,u::7", true),
      ("u::7,u::7,g::7,o::7", false),
    ])
  func validity(_ text: String, _ isValid: Bool) {
    #expect(((try? Self.acl(text)) != nil) == isValid)
  }

  @Test("entries out of their order and the number -1 are refused") func order() {
    let base = [Entry(.owner, .read), Entry(.owningGroup, .read), Entry(.other, [])]
    #expect(throws: AccessControlError.self) { try AccessControlList(base.reversed()) }
    #expect(throws: AccessControlError.self) {
      try AccessControlList([base[0], Entry(.user(.max), .read), base[1], Entry(.mask, .read), base[2]])
    }
  }

  // MARK: Modes

  @Test(
    "the group bits of the mode are the mask's, or the group's without one",
    arguments: [
      ("u::7,g::5,o::1", UInt16(0o751), true), ("u::6,g::7,m::4,o::0", 0o640, false),
      ("u::7,u:5:7,g::5,m::7,o::1", 0o771, false),
    ])
  func modes(_ text: String, _ bits: UInt16, _ isEquivalent: Bool) throws {
    let acl = try Self.acl(text)
    #expect(acl.permissionBits == bits)
    #expect(acl.isEquivalentToMode == isEquivalent)
    #expect(acl.applied(to: FileMode(rawValue: 0o106000)) == FileMode(rawValue: 0o106000 | bits))
  }

  @Test("a mode's ACL gives the mode back", arguments: [UInt16(0), 0o777, 0o640, 0o124, 0o753])
  func fromMode(bits: UInt16) {
    let acl = AccessControlList(mode: FileMode(.regular, permissions: 0o7000 | bits))
    #expect(acl.permissionBits == bits && acl.isEquivalentToMode)
  }

  @Test(
    "chmod changes owner, mask and others; without a mask the group",
    arguments: [
      ("u::7,g::5,o::1", "u::6,g::4,o::0"), ("u::7,u:5:7,g::5,m::7,o::1", "u::6,u:5:7,g::5,m::4,o::0"),
    ])
  func chmod(_ before: String, _ after: String) throws {
    #expect(try Self.acl(before).changed(by: FileMode(rawValue: 0o100640)) == Self.acl(after))
  }

  @Test(
    "what a new file inherits: the default ACL and the mode limit each other, umask counts only without one",
    arguments: [
      (nil, InodeType.regular, UInt16(0o666), UInt16(0o644), nil, nil),
      (nil, .symbolicLink, 0o777, 0o777, nil, nil),
      ("u::7,g::7,o::5", .regular, 0o666, 0o664, nil, nil),
      ("u::7,g::7,o::5", .directory, 0o777, 0o775, nil, "u::7,g::7,o::5"),
      ("u::7,u:5:7,g::5,m::7,o::0", .regular, 0o666, 0o660, "u::6,u:5:7,g::5,m::6,o::0", nil),
      ("u::7,u:5:7,g::5,m::7,o::0", .directory, 0o755, 0o750, "u::7,u:5:7,g::5,m::5,o::0", "u::7,u:5:7,g::5,m::7,o::0"),
      ("u::7,u:5:7,g::5,m::7,o::0", .symbolicLink, 0o777, 0o777, nil, nil),
    ] as [(String?, InodeType, UInt16, UInt16, String?, String?)])
  func inheritance(
    _ parent: String?, _ type: InodeType, _ mode: UInt16, _ expected: UInt16, _ access: String?, _ default: String?
  ) throws {
    let result = AccessControlList.inherited(
      from: try parent.map { try Self.acl($0) }, mode: FileMode(type, permissions: mode), umask: 0o022)
    #expect(result.mode == FileMode(type, permissions: expected))
    #expect(result.access == (try access.map { try Self.acl($0) }))
    #expect(result.default == (try `default`.map { try Self.acl($0) }))
  }

  // MARK: Text

  @Test("the long form reads back") func text() throws {
    #expect(try Self.acl(Self.full).description == Self.full)
  }

  @Test(
    "the forms of text mean the same",
    arguments: [
      "u::rwx,g::r-x,o::--x", "user::7\ngroup::5\nother::1", " user : : rwx # owner\n# a comment\ngroup::rx,other:x\n",
      "o:1,g::xr,u::wxr", "user::rwx\n\ngroup::r-x,,other::1",
    ])
  func forms(_ text: String) throws {
    #expect(try Self.acl(text).description == "user::rwx\ngroup::r-x\nother::--x\n")
  }

  @Test(
    "what is no entry is named",
    arguments: [
      "u:root:7", "x::7", "u:1", "u:1:8", "u:1:rwxr", "u:1:rr", "u:1:7:7", "u:4294967295:7", "u:-1:7", "d:d:u::7", "",
      "m:1:7", "u:+1:7", ":",
    ])
  func badText(_ text: String) {
    #expect(throws: AccessControlError.self) {
      try Self.acl("u::7,g::7,m::7,o::7," + text + (text.isEmpty ? "u::7" : ""))
    }
  }

  @Test("clauses may be of the default ACL, and without permissions where entries are removed") func clauses() throws {
    #expect(
      try AccessControlClause.parse("d:u:5:rw,default:m::r,u:7,g:8:,d:o:") == [
        AccessControlClause(isDefault: true, .user(5), [.read, .write]),
        AccessControlClause(isDefault: true, .mask, .read), AccessControlClause(.user(7), nil),
        AccessControlClause(.group(8), nil), AccessControlClause(isDefault: true, .other, nil),
      ])
  }

  @Test("the mask limits users, groups and the file's group") func effective() throws {
    let acl = try Self.acl(Self.full)
    #expect(
      acl.entries.map { "\(acl.effectivePermissions(of: $0))" } == ["rwx", "---", "r--", "r-x", "r-x", "r-x", "--x"])
  }

  // MARK: setfacl as the judge

  static let setfacl = "/usr/bin/setfacl", getfacl = "/usr/bin/getfacl"
  /// Whether both are there, and the file system of temporary files has ACLs.
  static let hasTools: Bool = {
    guard [setfacl, getfacl].allSatisfy({ (path: String) in unsafe access(path, X_OK) == 0 }),
      let directory = try? TemporaryDirectory()
    else { return false }
    guard (try? File.write([], to: directory.path("file"))) != nil else { return false }
    return (try? judged([["-m", "u:1:7"]], directory.path("file"), in: directory)) != nil
  }()

  /// What some calls of setfacl leave on a file.
  private static func judged(_ calls: [[String]], _ path: String, in directory: borrowing TemporaryDirectory) throws
    -> String
  {
    for call in calls { try Tool.run([setfacl] + call + [path], in: directory) }
    let text = try Tool.run([getfacl, "-pncE", path], in: directory)
    return text.split(separator: "\n").map { "\($0)\n" }.joined()
  }

  @Test(
    "each change gives what setfacl gives", .enabled(if: hasTools),
    arguments: [
      ("-m", "u:1000:rwx"), ("-m", "u:1000:rwx,m::r"), ("-m", "g:5:w,u:5:x"), ("-m", "g::7"), ("-m", "m::1"),
      ("-m", "o:7,u::0"), ("-x", "u:100"), ("-x", "u:100,g:100"), ("-x", "m"), ("-x", "u:100,g:100,m"),
      ("-x", "u:4711"),
      ("-n -m", "u:1000:rwx"), ("--mask -m", "u:1000:r,m::7"), ("--mask -x", "g:100"), ("-n -x", "g:100"),
    ])
  func likeSetfacl(_ option: String, _ text: String) throws {
    let directory = try TemporaryDirectory()
    for start in ["u::6,g::4,o::4", "u::6,u:100:7,g::4,g:100:5,m::6,o::0"] {
      let path = directory.path("file")
      try File.write([], to: path)
      try Tool.run([Self.setfacl, "--set", start, path], in: directory)
      let options = option.split(separator: " ").map(String.init)
      let rule: AccessControlList.MaskRule =
        options[0] == "-n" ? .kept : options[0] == "--mask" ? .recalculated : .recalculatedUnlessGiven
      let clauses = try AccessControlClause.parse(text)
      let changed: AccessControlList?
      if options.last == "-m" {
        changed = try Self.acl(start).setting(clauses.map { Entry($0.tag, $0.permissions ?? []) }, mask: rule)
      } else {
        changed = try? Self.acl(start).removing(clauses.map(\.tag), mask: rule)
      }
      let theirs = try? Self.judged([options + [text]], path, in: directory)
      #expect(changed?.description == theirs, "\(start) \(option) \(text)")
    }
  }

  @Test(
    "a first default entry brings the others along, as setfacl does it", .enabled(if: hasTools),
    arguments: [
      "u:5:7", "g:5:1", "u::0", "o::7", "m::1", "u:5:7,m::1",
    ])
  func likeSetfaclDefault(_ text: String) throws {
    let directory = try TemporaryDirectory()
    try #require(unsafe mkdir(directory.path("folder"), 0o751) == 0)
    try #require(unsafe Glibc.chmod(directory.path("folder"), 0o751) == 0)
    let entries = try AccessControlClause.parse(text).map { Entry($0.tag, $0.permissions ?? []) }
    let ours = try AccessControlList(default: entries, from: try Self.acl("u::7,g::5,o::1"))
    let call = ["-m", text.split(separator: ",").map { "d:\($0)" }.joined(separator: ",")]
    let theirs = try Self.judged([call], directory.path("folder"), in: directory)
    #expect(
      theirs == "user::rwx\ngroup::r-x\nother::--x\n" + ours.entries.map { "default:\($0)\n" }.joined())
  }
}

import Ext2
import Ext2Format
import Reactor
import Support
import Testing

/// Trees that one driver writes and the other reads: everything that can be seen of every file is the same to both.
@Suite("A tree", .enabled(if: Kernel.attributeObstacle == nil, "\(Kernel.attributeObstacle ?? "")"))
struct DirectionTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    let blockSize: Int
    let inodeSize: Int
    /// Of one directory.
    var fileCount = 40
    var testDescription: String { "blocks of \(blockSize), inodes of \(inodeSize)" }

    func image() throws -> [UInt8] {
      try Images.empty(
        blockSize: blockSize, blockCount: 4096, options: ["-N", "\(fileCount + 200)", "-I", "\(inodeSize)"])
    }
  }
  static let shapes = [1024, 2048, 4096].flatMap { blockSize in
    [128, 256].map { inodeSize in
      Shape(blockSize: blockSize, inodeSize: inodeSize, fileCount: blockSize == 1024 && inodeSize == 256 ? 5000 : 40)
    }
  }

  /// A tree with everything, in the folder $1 with blocks of $2 bytes and a directory of $3 files.
  static let makeTree = #"""
    set -e; cd "$1"; pointers=$(($2 / 4)); text() { head -c "$2" /dev/zero | tr '\0' "$1"; }
    for index in 0 3 11 12 $((12 + pointers)) $((12 + pointers + pointers * pointers)); do
      printf 'block %-10d' $index | dd of=deep bs="$2" seek=$index conv=notrunc status=none
    done
    truncate -s 12345678 holes; text x 9000 | dd of=holes bs=1000 seek=5000 conv=notrunc status=none
    truncate -s 100000 all-hole; : >empty; text y $(($2 * 300)) >indirect
    ln indirect hard; ln -s empty l; ln l hard-link-of-link
    for count in 1 59 60 61 $(($2 > 4095 ? 4095 : $2 - 1)); do ln -s "$(text l $count)" link-of-$count; done
    ln -s "$(printf 'odd\nbytes\377')" odd-link
    mknod null c 1 3; mknod old b 255 255; mknod new b 259 70000; mknod largest c 4095 1048575; mkfifo fifo
    text o 3 >owner; chown 70000:4294967294 owner; chown -h 65536:65535 l
    text s 3 >set-id; chmod 6755 set-id; mkdir sticky; chmod 1777 sticky; text p 1 >none; chmod 0 none
    text a 10 >attributes; mkdir folder
    setfattr -n user.short -v value attributes; setfattr -n user.empty attributes
    setfattr -n user.long -v "$(text v 400)" attributes; setfattr -n user.bytes -v 0x00ff0a3d attributes
    setfattr -n trusted.t -v 1 folder; setfattr -n security.s -v 2 attributes; setfattr -h -n trusted.l -v 3 l
    setfacl -m u:1000:rwx,u:70000:r,g:5:x attributes; setfacl -d -m u:8:rwx,g:9:r folder; setfacl -m g:7:rw folder
    text 1 1 >n; text 2 1 >"$(text n 255)"; text 3 1 >"$(printf 'new\nline\377\\')"
    mkdir many; (cd many; seq -f 'file-%g' "$3" | xargs touch; seq -f 'file-%g' 3 7 "$3" | xargs rm)
    text t 1 >late; touch -d '2040-01-01 00:00:00.000000001' late
    text t 1 >early; touch -d '1969-12-31 12:00:00.5' early; touch -h -d '2001-02-03 04:05:06.123456789' odd-link
    touch -a -d '1999-12-31 23:59:59.999999999' none; touch -d '2011-11-11 11:11:11.1' folder
    """#

  /// What both drivers see of an image, which is to be the same.
  private func agreed(_ image: [UInt8], _ what: String) throws -> TreeListing {
    #expect(try Images.check(image) == nil)
    var kernel = TreeListing(lines: [])
    try Kernel.mounted(image, options: "loop,ro,noatime") { kernel = try TreeListing.host($0) }
    let ours = try GoldenImageTests.listing(image)
    #expect(ours.difference(from: kernel) == [], "\(what)")
    return kernel
  }

  private func make(_ shape: Shape, in folder: String) throws {
    try Kernel.run(
      "bash", ["-c", Self.makeTree, "tree", folder, "\(shape.blockSize)", "\(shape.fileCount)"])
  }

  @Test("that the kernel wrote is the same to us", arguments: shapes)
  func kernelWrites(shape: Shape) throws {
    let image = try Kernel.mounted(try shape.image()) { try make(shape, in: $0) }
    let listing = try agreed(image, shape.testDescription)
    #expect(listing.lines.count > shape.fileCount * 6 / 7)
    // What the script asked for, lest both see nothing.
    #expect(listing.line("owner")?.contains(" 70000:4294967294 ") == true)
    #expect(listing.line("new")?.contains(" 259:70000 ") == true)
    #expect(listing.line("set-id")?.contains(" 8 6755 ") == true)
    #expect(listing.line("attributes")?.contains("system.posix_acl_access=") == true)
    let nanoseconds = shape.inodeSize > 128 ? " 2208988800.1 " : " "
    #expect(listing.line("late")?.contains(nanoseconds) == true)
  }

  @Test("that mke2fs -d copied is the same to us and the kernel", arguments: shapes)
  func copied(shape: Shape) throws {
    var image: [UInt8] = []
    // A volume of the kernel's has all kinds of attributes. Less than what is copied: there are two.
    let few = Shape(blockSize: shape.blockSize, inodeSize: 256)
    try Kernel.mounted(try few.image()) { folder in
      try make(few, in: folder)
      image = try Images.make(
        blockSize: shape.blockSize, byteCount: 4096 * shape.blockSize,
        options: ["-N", "200", "-I", "\(shape.inodeSize)", "-d", folder])
    }
    let listing = try agreed(image, shape.testDescription)
    #expect(listing.line("owner")?.contains(" 70000:4294967294 ") == true)
    #expect(listing.line("attributes")?.contains("user.long=") == true)
  }

  @Test("that we wrote is the same to the kernel", arguments: shapes)
  func weWrite(shape: Shape) throws {
    let outcome = VolumeRig.run(try shape.image(), stepLimit: 20_000_000) { rig in
      try await Self.write(rig.volume, shape)
    }
    #expect(outcome.failures == [] && outcome.unmountError == nil)
    let listing = try agreed(outcome.image, shape.testDescription)
    #expect(listing.lines.count > shape.fileCount * 6 / 7)
    for (name, device) in Self.devices {
      #expect(listing.line(name)?.contains(" \(device.major):\(device.minor) ") == true, "\(name)")
    }
    #expect(listing.line("owner")?.contains(" 8 6755 1 70000:4294967294 4 ") == true)
    #expect(listing.line("late")?.contains(shape.inodeSize > 128 ? " 2208988800.1 " : " 2147483647.0 ") == true)
    #expect(listing.line("early")?.contains(shape.inodeSize > 128 ? " -43200.500000000 " : " -43200.0 ") == true)
    #expect(listing.line("folder")?.contains("system.posix_acl_default=") == true)
    #expect(listing.lines.filter { $0.contains(" many/") }.count == shape.fileCount - shape.fileCount / 7)
    // A third opinion, on what the kernel and we might both misread.
    let seen = try Images.output(of: "debugfs", ["-R", "stat link-of-59"], on: outcome.image)
    #expect(seen.contains("Fast link dest: \"\(String(repeating: "l", count: 59))\""))
    #expect(try Images.output(of: "debugfs", ["-R", "stat wide"], on: outcome.image).contains("259:70000 "))
    #expect(try Images.dump("indirect", of: outcome.image) == stamped(5, count: 300 * shape.blockSize))
  }

  static let devices: [(name: String, number: DeviceNumber)] = [
    ("null", DeviceNumber(major: 1, minor: 3)), ("old", DeviceNumber(major: 255, minor: 255)),
    ("wide", DeviceNumber(major: 259, minor: 70_000)), ("largest", DeviceNumber(major: 4095, minor: 1_048_575)),
  ]

  /// The same kinds of things as the script makes, by our calls.
  private static func write(_ volume: Volume, _ shape: Shape) async throws {
    func file(_ name: some VolumePath, _ bytes: [UInt8], at offset: UInt64 = 0) async throws {
      let file = try await volume.open(name, create: true)
      if !bytes.isEmpty { try await file.write(bytes, at: offset) }
      await file.close()
    }
    let size = UInt64(shape.blockSize), pointers = size / 4
    for index in [0, 3, 11, 12, 12 + pointers, 12 + pointers + pointers * pointers] {
      try await file("deep", stamped(UInt8(index & 0xFF), count: 16), at: index * size)
    }
    try await file("holes", stamped(4, count: 9000), at: 5_000_000)
    let hole = try await volume.open("all-hole", create: true)
    try await hole.truncate(to: 100_000)
    await hole.close()
    try await file("empty", [])
    try await file("indirect", stamped(5, count: 300 * shape.blockSize))
    try await volume.link("indirect", to: "hard")
    try await volume.makeSymbolicLink("l", to: "empty")
    try await volume.link("l", to: "hard-link-of-link")
    for count in [1, 59, 60, 61, min(4095, shape.blockSize - 1)] {
      try await volume.makeSymbolicLink("link-of-\(count)", to: [UInt8](repeating: UInt8(ascii: "l"), count: count))
    }
    try await volume.makeSymbolicLink("odd-link", to: [0x6F, 0x0A, 0xFF])
    for (name, number) in devices {
      try await volume.makeNode(name, name == "null" ? .characterDevice : .blockDevice, device: number)
    }
    try await volume.makeNode("fifo", .fifo)
    try await volume.makeNode("socket", .socket, permissions: 0)
    try await file("owner", stamped(6, count: 4))
    try await volume.change("owner", StatusChanges(permissions: 0o6755, user: 70_000, group: 4_294_967_294))
    try await volume.change("l", StatusChanges(user: 65_536, group: 65_535), followsLink: false)
    try await volume.makeDirectory("sticky", permissions: 0o1777)
    try await volume.makeDirectory("folder")
    try await file("attributes", stamped(7, count: 10))
    for (name, value) in [
      ("user.short", Array("value".utf8)), ("user.empty", []), ("user.long", stamped(8, count: 400)),
      ("security.s", [2]), ("trusted.t", [0, 255]),
    ] { try await volume.setAttribute(name, to: value, of: "attributes") }
    try await volume.setAttribute("trusted.l", to: [3], of: "l", followsLink: false)
    let list = try AccessControlList(text: "u::rwx,u:1000:rwx,u:70000:r,g::x,g:5:x,m::rwx,o::r")
    try await volume.setAccessControlList(list, of: "attributes")
    try await volume.setAccessControlList(list, of: "folder", isDefault: true)
    try await file("folder/inherits", [1])
    try await file("n", [1])
    try await file([UInt8](repeating: 0x6E, count: 255), [2])
    try await file([0x6E, 0x0A, 0xFF, 0x5C], [3])
    try await volume.makeDirectory("many")
    for number in 1...shape.fileCount { try await volume.open("many/file-\(number)", create: true).close() }
    for number in 1...shape.fileCount where number % 7 == 0 { try await volume.unlink("many/file-\(number)") }
    for (name, time) in [
      ("late", CalendarTime(seconds: 2_208_988_800, nanoseconds: 1)),
      ("early", CalendarTime(seconds: -43_200, nanoseconds: 500_000_000)),
    ] {
      try await file(name, [9])
      try await volume.change(name, StatusChanges(accessTime: time, modificationTime: time))
    }
  }
}

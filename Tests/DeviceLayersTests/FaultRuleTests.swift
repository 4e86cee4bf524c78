import BlockDevice
import DeviceLayers
import SystemPackage
import Testing

@Suite("The text of a fault rule")
struct FaultRuleTests {
  @Test("says what, where and when")
  func parts() throws {
    let rule = try FaultRule(
      "write+discard@8-15,20!start:EIO,nth=3,count=2,after=5ms,for=1s,state=armed,set=done,p=0.5")
    #expect(rule.operations == [.write, .discard])
    #expect(rule.place == .blocks([8..<16, 20..<21]))
    #expect(rule.action == .fail(.ioError))
    #expect(rule.nth == 3 && rule.count == 2 && rule.after == 5_000_000 && rule.duration == 1_000_000_000)
    #expect(rule.state == "armed" && rule.nextState == "done" && rule.probability == 0.5)
    #expect(try FaultRule("any:ENOSPC").operations == [])
    #expect(try FaultRule("read@64k-128k:EIO,heal=write").place == .bytes([65536..<131072]))
    #expect(try FaultRule("read@0-4k:EIO,heal=3").healing == .after(3))
    #expect(try FaultRule("write@inode:12:EIO").place == .inode(12))
    #expect(try FaultRule("write!complete:EIO").event == .complete)
  }

  @Test(
    "names each action",
    arguments: [
      ("write:torn=prefix:3", .torn(.prefix(3))), ("write:torn=suffix:1", .torn(.suffix(1))),
      ("write:torn=mask:0x5", .torn(.mask(5))), ("write:phantom", .phantom), ("write:misdirect=+8", .misdirect(8)),
      ("write:misdirect=-8", .misdirect(-8)), ("read:rot=2", .rot(2)), ("read:stuck=1", .stuck(1)),
      ("read:stale", .stale), ("read:short=100", .short(100)), ("write:short=1k", .short(1024)), ("any:hang", .hang),
      ("any:delay=2ms", .delay(.fixed(2_000_000))),
      ("any:delay=lognormal:200us:0.8,p=0.01", .delay(.lognormal(median: 200_000, sigma: 0.8))),
      ("any:delay=uniform:1us:2us", .delay(.uniform(1000, 2000))), ("flush:lie", .lie), ("any:eagain", .again),
      ("write:readonly", .readOnly), ("any:unplug=1s", .unplug(.fixed(1_000_000_000))),
      ("write:thin=1m", .thin(1 << 20)),
      ("any:duplicate", .duplicate), ("write:EROFS", .fail(.readOnlyFileSystem)),
    ] as [(String, FaultRule.Action)])
  func actions(text: String, action: FaultRule.Action) throws {
    #expect(try FaultRule(text).action == action)
  }

  @Test(
    "that is none says the column and what was expected there",
    arguments: [
      ("", 1, "read, write"), ("wirte:EIO", 1, "read, write"), ("write", 6, "':'"), ("write:", 7, "an errno"),
      ("write:EWHAT", 7, "an errno"), ("write@:EIO", 7, "blocks"), ("write@9-3:EIO", 7, "does not end before"),
      ("write@1k-8:EIO", 7, "throughout"), ("write@8,64k:EIO", 9, "throughout"),
      ("write!now:EIO", 7, "start or complete"),
      ("write:EIO,nht=1", 11, "nth="), ("write:EIO,nth=0", 15, "from 1 on"), ("write:EIO,p=2", 13, "0 to 1"),
      ("write:EIO,p", 12, "'='"), ("write:EIO;", 7, "an errno"), ("write:EIO,after=5", 18, "a unit"),
      ("read:torn=prefix:1", 6, "'write'"), ("any:phantom", 5, "'write', 'discard' or 'zeroes'"),
      ("write:lie", 7, "'flush'"),
      ("write!complete:hang", 16, "an errno, 'delay' or 'duplicate'"), ("any+read:EIO", 1, "'any' alone"),
      ("write:torn=half:1", 12, "prefix:N"), ("write:misdirect=0", 17, "from 1 on"),
      ("read:rot=4097", 10, "1 to 4096"), ("read:stuck=1073741824", 12, "1 to 4096"),
      ("write:EIO,nth=1,p=1,nth=2", 21, "each key once"),
      ("any:delay=later:1s", 11, "uniform"), ("write@99999999999999999999:EIO", 7, "a number"),
    ])
  func mistakes(text: String, column: Int, expectation: String) throws {
    let error = #expect(throws: FaultRuleError.self) { try FaultRule(text) }
    #expect(error?.column == column, "\(error?.description ?? "")")
    #expect(error?.description.contains(expectation) == true, "\(error?.description ?? "")")
  }
}
